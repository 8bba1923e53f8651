"""The dashboard: pages for people, drawn by the server, on the operations of the table.

A page has no rule of its own. It asks operations as HTTP does, with the rights of whoever is signed
in, and shows what they answer. A request is handled in this order:

    handler      one handler for all pages: who asks, whether they may, what they sent
    guard        which requests may change something: those that our own pages send
    cookies      the token of the sign-in, and the theme
    forms        what was typed becomes the request of an operation; a refusal goes to its field
    page         Page, a row of the table of pages; Visit, what the function of a page gets
    pages        the table: every page of every group, and the routes that are made from it
    rendering    a template and values become HTML
    static_files what pages load, under a name that changes with its content
    live         parts of pages that wait for news

Each other module is a group of pages. `templates/` has a folder for each of them.
"""
