/// The events that the status page shows.
extension StatusBoard {
    func events() -> [StatusDocument.Event] { [] }
}
