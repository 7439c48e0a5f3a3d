"""One module per aggregate: functions, session first, plain values out."""
