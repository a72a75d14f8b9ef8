"""The main job, end to end: from nothing to a served, tested, evaluated system and its report.

Nothing here remembers what was done: every step asks AWS, by names made of what goes in, and does only what
is missing. So an interrupted run goes on where it was, and a repeated one changes nothing.
"""
