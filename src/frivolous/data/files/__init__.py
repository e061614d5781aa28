"""Where data lie on disk, and how they are fetched, kept and read.

- ``folders``: the folder that a user names
- ``download``: one file fetched, resumed and checked
- ``cache``: decoded images, so that files are decoded once
- ``parquet``: images as Hugging Face lays them out
- ``cifar10_files``, ``cifar10_archives``, ``safe_pickle``: the forms of CIFAR-10
- ``imagenet_files``: the forms of ImageNet
"""
