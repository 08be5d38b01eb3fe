/// Why a request was not carried out: what the control socket sends as `{"error": {…}}`, and what limpetctl prints.
public struct ControlError: Error, Codable, Sendable, Equatable, CustomStringConvertible {
    /// What kind of error, for programs. Each has one HTTP status and one exit status.
    public enum Code: String, Codable, Sendable, CaseIterable {
        /// The request makes no sense: bad JSON, an unknown field or value, a missing argument.
        case badRequest = "bad_request"
        /// No such path.
        case unknownPath = "unknown_path"
        /// The path exists and does not take this method.
        case methodNotAllowed = "method_not_allowed"
        /// Header or body over its limit.
        case tooLarge = "too_large"
        /// No service, backend or connection of this name.
        case noSuchObject = "no_such_object"
        /// A bare name that several services have.
        case ambiguous
        /// The caller may not do this.
        case permission
        /// Refused as things are.
        case refused
        /// Refused, and `force` would do it.
        case needsForce = "needs_force"
        /// The daemon is at its limit of control clients, or is ending.
        case busy
        /// A wait ran out.
        case timeout
        /// The configuration that was read cannot be used.
        case invalidConfiguration = "invalid_configuration"
        /// Nothing answers on the control socket.
        case notRunning = "not_running"
        /// The daemon, or the conversation with it, failed.
        case failed

        /// The exit status of limpetctl, see limpetctl(8), EXIT STATUS.
        public var exitStatus: Int32 {
            switch self {
            case .unknownPath, .methodNotAllowed, .tooLarge, .refused, .busy, .failed: 1
            case .badRequest, .ambiguous: 2
            case .notRunning: 3
            case .noSuchObject: 4
            case .permission: 5
            case .timeout: 6
            case .invalidConfiguration: 7
            case .needsForce: 8
            }
        }

        /// The status of the HTTP response that carries it.
        public var httpStatus: Int {
            switch self {
            case .badRequest, .ambiguous: 400
            case .permission: 403
            case .unknownPath, .noSuchObject: 404
            case .methodNotAllowed: 405
            case .refused, .needsForce: 409
            case .tooLarge: 413
            case .invalidConfiguration: 422
            case .failed: 500
            case .busy, .notRunning: 503
            case .timeout: 504
            }
        }
    }

    public var code: Code
    /// One line without a full stop: what is wrong, with the name or place.
    public var message: String
    /// What was probably meant; null where nothing comes near.
    @Nullable public var suggestion: String?
    /// ``Code/exitStatus``, for programs that speak HTTP themselves.
    public var exit: Int32
    /// What else is wrong, a line each like ``message``; null: nothing.
    @Nullable public var further: [String]?

    public init(_ code: Code, _ message: String, suggestion: String? = nil, further: [String] = []) {
        self.code = code
        self.message = message
        self.suggestion = suggestion
        exit = code.exitStatus
        self.further = further.isEmpty ? nil : further
    }

    /// - Parameter lines: what is wrong, at least one.
    public init(_ code: Code, lines: [String]) {
        self.init(code, lines.first ?? "", further: Array(lines.dropFirst()))
    }

    /// The message, with the suggestion as a question.
    public var description: String {
        suggestion.map { "\(message) (did you mean \($0)?)" } ?? message
    }
}
