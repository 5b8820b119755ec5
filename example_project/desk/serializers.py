"""What people fill in."""

from rest_framework import serializers

PROPERTY_TYPES = [("house", "House"), ("flat", "Flat"), ("boat", "Houseboat")]
AMENITIES = [("wifi", "Wi-Fi"), ("parking", "Parking"), ("pool", "Pool"), ("pets", "Pets welcome")]
DECISIONS = [("approve", "Approve"), ("reject", "Reject")]


class PropertySerializer(serializers.Serializer):
    property_name = serializers.CharField(max_length=60)
    property_type = serializers.ChoiceField(choices=PROPERTY_TYPES)
    bedrooms = serializers.IntegerField(min_value=0, max_value=50)


class StaySerializer(serializers.Serializer):
    price = serializers.DecimalField(label="Price per night", max_digits=7, decimal_places=2, min_value=1)
    amenities = serializers.MultipleChoiceField(choices=AMENITIES, required=False, default=set)
    story = serializers.CharField(
        label="What guests will love", max_length=500, required=False, allow_blank=True, default=""
    )


class ContactSerializer(serializers.Serializer):
    email = serializers.EmailField()


class ExpenseSerializer(serializers.Serializer):
    employee = serializers.CharField(max_length=60)
    amount = serializers.DecimalField(max_digits=8, decimal_places=2, min_value=0)
    spent_on = serializers.DateField()
    purpose = serializers.CharField(max_length=500)


class ReviewSerializer(serializers.Serializer):
    decision = serializers.ChoiceField(choices=DECISIONS)
    priority = serializers.ChoiceField(choices=["low", "medium", "high"], default="medium")
    reviewer_notes = serializers.CharField(max_length=500, required=False, allow_blank=True)
