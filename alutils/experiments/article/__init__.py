"""The article: its procedure, to the digit, and what its numbers are one draw of.

`procedure` runs its six arms once, `replication` many times.
"""
