"""The same workloads in the words of each contender; each module runs in its contender's environment."""
