"""Networks made of others: a file of this folder is a composite, which is built like a family.

A composite has a `Model` whose fields PARTS are built networks: {field: the setting that names it},
where a setting is "family/variant". Its VARIANTS are rows of settings, and HEADS, by variant, are
the heads that make the published network; `models.build` takes them unless another head is asked
for. `models.build` builds the parts and hands them over, so a composite imports no family.
"""
