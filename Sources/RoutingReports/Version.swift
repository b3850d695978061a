/// The version of the library and of the program, as reports name it.
public let routeGradVersion = "0.2.0"
