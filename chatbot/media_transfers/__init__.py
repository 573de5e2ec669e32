"""Background transfer of media files: downloads what contacts sent, uploads what is to be sent.

`channels.media` stores the files and knows nothing of conversations. A finished transfer changes the
threads that show the file and releases the replies that waited for it, so it needs both packages.
"""
