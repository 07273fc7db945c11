package exproto

import (
	"errors"
	"fmt"
	"os"

	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/gateway"
)

// openFraming compiles the frame codec of that name or file; nil for neither.
func openFraming(name string, file File) (*frame.Codec, error) {
	if name == "" && file == "" {
		return nil, nil
	}
	c, err := openCodec(name, file)
	if err == nil && c.IdleGap() > 0 {
		return nil, fmt.Errorf("frames of %s end by silence, of which a handler learns nothing", c.Name())
	}
	return c, err
}

func openCodec(name string, file File) (*frame.Codec, error) {
	switch {
	case file == "":
		return frame.Open(name)
	case name != "":
		return nil, errors.New("both framing and framing_file are set")
	}
	src, err := os.ReadFile(string(file))
	if err != nil {
		return nil, err
	}
	return frame.Parse(string(file), src)
}

// cut hands over the whole frames in data.
func (c *client) cut(data []byte, each func(frame []byte)) (rest []byte, want int, err error) {
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
		each(f.Raw)
	}
}
