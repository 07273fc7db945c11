package capture

// KeyLog is a set of TLS secrets.
type KeyLog struct{}
