import RoutingCore

/// Why a report cannot be made.
public typealias ReportError = Refusal
