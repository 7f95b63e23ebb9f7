"""The built-in synthetic gesture set: drawn hands, rendered once into the cache.

`hand` is the geometry of a hand, `motions` pose it over time, `take` adds what varies between
clips, `scene` is the picture around it, `write` makes files, `truth` what is known of each clip,
and `source` opens the set. `workers` run both on all cores, and `cache` lets each be made once.
`attributes` say what each gesture shows. All but `source` import NumPy and Pillow only, because
each worker process that renders imports them, too.
"""
