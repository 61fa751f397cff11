"""supervisor: many attachments for months.

One process that never waits for a server (`daemon`, `supervisor`), and for each attachment one that
does (`attachment_process`, `attachment_life`). What is to be done, a file says (`config`); what
happens, a table of states (`states`). The decisions are values and pure functions: who has which
controller (`controllers`), what a reload touches (`reloading`), how often is asked (`asking`), what
a message is (`messages`).
"""
