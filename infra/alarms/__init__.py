"""Who is told, and by what: the topic, alarms, budget and dashboard."""
