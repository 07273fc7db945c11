package decode

// wrapped returns what l is wrapped in, nil for nothing; more says that this can be
// told when more is there.
func (l *level) wrapped(e *Engine) (w wrapper, more bool) {
	return nil, false
}
