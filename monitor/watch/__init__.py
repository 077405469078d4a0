"""The watch loop: looks at every rollover, writes decisions down, finds failures, tells people. `Watch` is one look."""
