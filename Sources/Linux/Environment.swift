internal import Glibc

/// The environment of the process.
public enum Environment {
    /// nil: there is no such variable.
    public static func value(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}
