"""snn: spiking networks that see, as ordinary Brian2 objects.

To come: event recordings as spike sources, neuron equations and wiring from their papers, running
over many samples, the probes of a physiologist, steps towards hardware, exchange through NIR, and an
energy account of every inference.
"""
