"""Notices: who is told of which events, how, and what decides that. Pure.

event         the one table of events
payload       what receivers and mailboxes are sent
destination   where a notice may be sent to
retry         when a delivery is tried again, and when an endpoint is given up
watching      what is told of the use and the age of keys
mail_link     the links in mails: to confirm a mailbox, and to unsubscribe it
"""
