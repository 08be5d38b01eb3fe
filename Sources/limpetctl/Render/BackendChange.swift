import Control

extension Output {
    /// What became of a backend: its row, or a sentence; and on stderr, that a restart would forget it.
    func backend(_ reply: Reply<BackendChange>, _ sentence: (BackendRow) -> String) throws(ControlError) {
        switch form {
        case .json: try json(reply)
        case .plain: for row in reply.body.backends { plain(row.plainFields) }
        case .table: for row in reply.body.backends { line(sentence(row)) }
        }
        warnUnsaved(reply.body)
    }

    /// On stderr, so that it is seen whatever reads stdout.
    func warnUnsaved(_ change: BackendChange) {
        guard let unsaved = change.unsaved else { return }
        flush()
        Diagnostics.say("limpetctl: warning: done, but a restart would forget it: \(unsaved)")
    }
}
