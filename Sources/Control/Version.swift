/// The version of Limpet that this is, for the daemon and its tool alike.
public let limpetVersion = "0.1.0"
