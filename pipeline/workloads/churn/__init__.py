"""Customer churn: does a customer cancel when the contract comes up for renewal?"""
