/// The version of the daemon, as `limpetd --version` and the control socket tell it.
let limpetVersion = "0.1.0"
