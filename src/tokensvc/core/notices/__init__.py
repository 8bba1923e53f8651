"""Notices: who is told of which events, how, and what decides that. Pure.

event         the one table of events
payload       what receivers and mailboxes are sent
receiver      where a notice may be sent to
retry         when a delivery is tried again, and when an endpoint is given up
watching      what is told of the use and the age of keys
confirmation  the link that confirms a mailbox
"""
