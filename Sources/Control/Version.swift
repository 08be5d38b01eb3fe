internal import CBuild

/// The version of Limpet that this is, for the daemon and its tool alike.
public let limpetVersion = String(cString: limpet_build_version())

/// The version, and in parentheses the revision of the sources where the build was told of it: what `--version` prints.
public let limpetVersionText: String = {
    let revision = String(cString: limpet_build_revision())
    return revision.isEmpty ? limpetVersion : "\(limpetVersion) (\(revision))"
}()

/// Where a daemon that root has started keeps its files, and limpetctl looks for it, unless it was told otherwise.
/// The directories above are chosen when it is built.
public enum SystemPaths {
    public static let control = String(cString: limpet_build_runstatedir()) + "/limpet/control.sock"
    public static let state = String(cString: limpet_build_localstatedir()) + "/lib/limpet"
}
