package proxy

// Metrics is what an engine counts.
type Metrics struct{}

// Fault counts a fault that was injected, by its action: "drop".
func (m *Metrics) Fault(action string) {}

// Refused counts what a rule of a stage has refused: "access", "deny[0]".
func (m *Metrics) Refused(stage, rule string) {}

// Dropped counts what a stage could not pass on: "translate", "user-property".
func (m *Metrics) Dropped(stage, what string) {}
