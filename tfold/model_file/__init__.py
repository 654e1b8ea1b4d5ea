"""What a model file says, read as data before any loader sees it.

A loader of Keras makes what a file names, so a prepared file could run code, read other files or fill the memory. These
modules read the configuration without making anything of it:

    read          path → ModelFile: which Keras wrote it, and its configuration
    zip_archive   limits of a .keras file: encryption, damage, sizes
    hdf5          limits of an .h5 file and of the weights in a .keras file: links to other files, sizes
    allowed       every class and function in the configuration is one of Keras, TFMOT or tfold, or named by the user
"""
