/// The events that the status page shows.
extension StatusBoard {
    private static let shownEvents = 30

    /// The newest last. What an operator has closed, or somebody wanted to close, may name a client.
    func events() -> [StatusDocument.Event] {
        plane.events.recent(StatusBoard.shownEvents).map { posted in
            var event = posted.event
            if [.close, .refused].contains(event.event), !showsClients { event.cause = nil }
            return StatusDocument.Event(number: posted.number, time: posted.time, event: event)
        }
    }
}
