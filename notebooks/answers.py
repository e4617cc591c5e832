# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Answers
#
# To the exercises of the tutorials, one heading each. Try for yourself first. Every answer is code that runs alone,
# after the first cell.
