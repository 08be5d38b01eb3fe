/// The keys of an inline table of `listen`, and what else concerns how clients are taken in.
extension ConfigurationKeys {
    public static let clientFirst = ConfigurationKey(
        name: "client-first", section: .behaviour, kind: .boolean, defaultText: "false", hasFlag: false,
        summary: "Whether clients speak first, so that one counts only once it has sent something.")

    public static let listenerAddress = listener(
        "address", .listenerAddress, nil, "Where clients arrive.")
    public static let device = listener(
        "device", .interface, "none", "The network interface by which clients come.")
    public static let freebind = listener(
        "freebind", .boolean, "false", "Whether it is bound also where this machine does not have the address yet.")
    public static let v6only = listener(
        "v6only", .boolean, "true", "Of [::] alone: whether it takes IPv6 clients alone, or IPv4 clients as well.")

    public static let intercept = listener(
        "intercept", .boolean, "false",
        "Whether it takes clients of any address that a TPROXY rule sends here (IP_TRANSPARENT).")

    public static let mode = listener(
        "mode", .permissions, "0660", "Of a Unix socket: the permission bits of its file, in octal.")
    public static let listenerOwner = listener(
        "owner", .account, "the daemon's", "Of a Unix socket: the user that its file belongs to.")
    public static let listenerGroup = listener(
        "group", .account, "the daemon's", "Of a Unix socket: the group that its file belongs to.")

    private static func listener(
        _ name: String, _ kind: ConfigurationKey.Kind, _ defaultText: String?, _ summary: String
    ) -> ConfigurationKey {
        ConfigurationKey(
            name: name, section: .listener, kind: kind, defaultText: defaultText, hasFlag: false, summary: summary)
    }
}
