import RoutingCore

/// Why a run cannot begin, go on or be read.
public typealias RunError = Refusal
