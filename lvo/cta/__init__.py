"""From the artery map to the call: which artery stops, on which side, where, how sure, and why.

`tree` lays the atlas of arteries over the map, `path` follows the lumen and measures what interrupts it, `features` compares
side with side and with the atlas, `call` turns that into a probability, `decode` assembles the result.
"""
