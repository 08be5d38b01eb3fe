internal import Glibc

/// The environment of the process.
public enum Environment {
    /// nil: there is no such variable.
    public static func value(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }

    /// Takes a variable out. While there is one thread.
    public static func remove(_ name: String) { unsetenv(name) }
}
