package recording

import "io"

// Writer writes a recording.
type Writer interface {
	// Message writes m; what m points to is only read, and not kept.
	Message(m *Message) error
	// Gap writes that the connection was down, when it is there again.
	Gap(g *Gap) error
	// Flush hands what was written to the operating system.
	Flush() error
	// Size is how many bytes were written so far.
	Size() int64
}

const writeBuffer = 64 << 10

// counter counts what passes.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
