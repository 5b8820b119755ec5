"""Forms for people: a property is onboarded, an expense is approved."""
