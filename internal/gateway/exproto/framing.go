package exproto

import (
	"errors"
	"os"

	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/gateway"
)

// openFraming compiles the frame codec of that name or file; nil for neither.
func openFraming(name, file string) (*frame.Codec, error) {
	switch {
	case name != "" && file != "":
		return nil, errors.New("both framing and framing_file are set")
	case name != "":
		return frame.Open(name)
	case file == "":
		return nil, nil
	}
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return frame.Parse(file, src)
}

// cut hands over the whole frames in data.
func (c *client) cut(data []byte, each func(frame []byte) error) (rest []byte, want int, err error) {
	next := c.split.Next
	if c.datagrams {
		next = c.split.Gap
	}
	for {
		f, n, err := next(data)
		data = data[n:]
		switch {
		case errors.Is(err, frame.ErrShort):
			return data, len(data) + c.split.Need(), nil
		case err != nil:
			return nil, 0, &gateway.End{Why: reasonFraming, Err: err}
		}
		if err := each(f.Raw); err != nil {
			return nil, 0, err
		}
	}
}
