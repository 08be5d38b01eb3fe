/// The address of a Unix socket (unix(7)): a file, or a name in the kernel's abstract space.
public struct UnixPath: Hashable, Sendable {
    /// Bytes that a path may have: `sun_path` holds 108 with the closing zero.
    public static let maximumLength = 107

    /// The path of the file, or the abstract name without the `@` that stands for its leading zero byte.
    public let name: String
    /// Whether there is no file: the name is known in the network namespace of the process alone.
    public let isAbstract: Bool

    /// Reads `unix:/run/app.sock`, or `unix:@name` for an abstract name.
    public init(parsing text: some StringProtocol) throws(UnixPathError) {
        let whole = String(text)
        guard whole.hasPrefix(UnixPath.prefix) else { throw .foreign(whole) }
        let path = whole.dropFirst(UnixPath.prefix.count)
        isAbstract = path.hasPrefix("@")
        name = String(isAbstract ? path.dropFirst() : path)
        guard !name.isEmpty else { throw .empty(whole) }
        if name.utf8.contains(0) { throw .zero }
        // The leading zero of an abstract name takes a byte as well, and it needs no closing one.
        if name.utf8.count > UnixPath.maximumLength { throw .tooLong(whole, length: name.utf8.count) }
        if isAbstract { return }
        guard name.hasPrefix("/") else { throw .relative(whole) }
        if name.hasSuffix("/") { throw .directory(whole) }
    }

    /// From what the kernel has. nil: it is empty, longer than a path can be, or no UTF-8.
    public init?(bytes: some Collection<UInt8>, isAbstract: Bool) {
        guard (1...UnixPath.maximumLength).contains(bytes.count), let name = String(validating: bytes, as: UTF8.self)
        else { return nil }
        self.name = name
        self.isAbstract = isAbstract
    }

    /// What its text begins with.
    public static let prefix = "unix:"
}

extension UnixPath: CustomStringConvertible {
    /// `unix:/run/app.sock` or `unix:@name`; reads back as the same.
    public var description: String { UnixPath.prefix + (isAbstract ? "@" : "") + name }
}

/// Why a text is not the address of a Unix socket. The description says what is wrong and what to write instead.
public enum UnixPathError: Error, Hashable, Sendable {
    /// It does not begin with `unix:`.
    case foreign(String)
    /// Nothing follows `unix:` or `unix:@`.
    case empty(String)
    /// A path that does not begin with a slash.
    case relative(String)
    /// A path that ends with a slash.
    case directory(String)
    /// A byte that would end it.
    case zero
    /// More bytes than a socket's address holds.
    case tooLong(String, length: Int)
}

extension UnixPathError: CustomStringConvertible {
    /// One line for the user, without the place where it was written.
    public var description: String {
        switch self {
        case .foreign(let text): "\"\(text)\" does not begin with \"unix:\": write unix:/run/app.sock"
        case .empty(let text):
            "\"\(text)\" has no path: write unix:/run/app.sock, or unix:@NAME for an abstract name"
        case .relative(let text):
            "\"\(text)\": the path must begin with \"/\", as in unix:/run/app.sock"
        case .directory(let text): "\"\(text)\" names a directory: give the path of the socket in it"
        case .zero: "a path cannot have a zero byte in it"
        case .tooLong(let text, let length):
            "\"\(text.prefix(40))…\": the path has \(length) bytes, and that of a Unix socket has at most "
                + "\(UnixPath.maximumLength): choose a shorter one"
        }
    }
}
