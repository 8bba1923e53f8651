"""A service with a past, to look at: `make demo`.

Accounts, keys and audiences are made by the operations of the service, one act after the other, and
then moved to where they belong in the past. What the service would have counted meanwhile is
written by the demo itself. The product has no clock that can be set, and needs none for this.

    cast       who there is: accounts, keys, capabilities, audiences
    story      the acts, and when each of them was
    making     carries the acts out, and moves what they have written into the past
    trail      the audit trail with the times of the story; its chain holds
    traffic    how a key is used, by the hour
    counting   what the service would have counted until now
    telling    the notices that were delivered
    living     followers, and tokens that are revoked, while the demo runs
    __main__   the folder, the filling, the service
"""
