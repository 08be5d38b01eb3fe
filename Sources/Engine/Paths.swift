import Control
import Glibc
import Linux

/// Where the daemon keeps its files, by who runs it.
enum Paths {
    static func control(_ configured: String?) throws(StartError) -> String {
        if let configured { return configured }
        if Account.effectiveUID == 0 { return SystemPaths.control }
        guard let runtime = environment("XDG_RUNTIME_DIR") else {
            throw StartError(
                "XDG_RUNTIME_DIR is not set, so there is no default place for the control socket; name one with --control"
            )
        }
        return runtime + "/limpet/control.sock"
    }

    static func state(_ configured: String?) throws(StartError) -> String {
        if let configured { return configured }
        if Account.effectiveUID == 0 { return SystemPaths.state }
        if let state = environment("XDG_STATE_HOME") { return state + "/limpet" }
        guard let home = environment("HOME") else {
            throw StartError(
                "neither XDG_STATE_HOME nor HOME is set, so there is no default state directory; name one with"
                    + " --state-directory")
        }
        return home + "/.local/state/limpet"
    }

    private static func environment(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }
}
