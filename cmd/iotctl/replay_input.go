package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/recording"
)

// replayInput is what is played.
type replayInput struct {
	name   string
	file   *os.File // nil: it can be read once only
	o      recording.Options
	reader recording.Reader
	ahead  chan aheadItem // of what can be read once only
}

type aheadItem struct {
	item recording.Item
	err  error
}

func openReplay(s *settings, t *terminal, name string) (*replayInput, error) {
	o := recording.Options{Directions: s.directions, MaxLine: s.maxLine}
	var err error
	if o.Dissectors, err = dissectors(); err != nil {
		return nil, err
	}
	if s.captureTLS != "" {
		if o.Keys, err = (&decodeOptions{keylog: s.captureTLS}).keys(); err != nil {
			return nil, err
		}
	}
	in := &replayInput{name: name, o: o}
	if name == "-" {
		in.name = "standard input"
		in.readAhead(t.in)
		return in, nil
	}
	f, err := os.Open(name)
	if err != nil {
		var hints []string
		if strings.Contains(name, "://") {
			hints = append(hints, "iotctl replay FILE URL")
		}
		return nil, fail(exitUsage, err, hints...)
	}
	if !regular(f) {
		in.readAhead(f)
		return in, nil
	}
	in.file = f
	return in, in.open(f)
}

func (in *replayInput) open(r io.Reader) (err error) {
	in.reader, err = recording.Open(r, in.o)
	var damage *capture.Damaged
	if errors.Is(err, recording.ErrNoRecording) || errors.As(err, &damage) {
		return fail(exitMalformed, fmt.Errorf("%s: %w", in.name, err), "iotctl record and iotctl sub -o jsonl write recordings")
	}
	return err
}

// again goes back to the beginning.
func (in *replayInput) again() error {
	if _, err := in.file.Seek(0, io.SeekStart); err != nil {
		return fail(exitFailed, err)
	}
	return in.open(in.file)
}

func (in *replayInput) close() {
	if in.file != nil {
		_ = in.file.Close()
	}
}

// readAhead reads what may keep one waiting, so that a signal ends the wait. A read
// that waits ends with the process.
func (in *replayInput) readAhead(r io.Reader) {
	in.ahead = make(chan aheadItem, 16)
	go func() {
		err := in.open(r)
		for err == nil {
			var item recording.Item
			if item, err = in.reader.Next(); err == nil {
				item.Payload = append([]byte(nil), item.Payload...)
				item.Properties = append(mqtt.Properties(nil), item.Properties...)
				in.ahead <- aheadItem{item: item}
			}
		}
		in.ahead <- aheadItem{err: err}
	}()
}

func (in *replayInput) next(ctx context.Context) (recording.Item, error) {
	if in.ahead == nil {
		return in.reader.Next()
	}
	select {
	case a := <-in.ahead:
		return a.item, a.err
	case <-ctx.Done():
		return recording.Item{}, ctx.Err()
	}
}

// ended tells errors that are not of the input.
func (in *replayInput) ended(err error) bool {
	return errors.As(err, new(*failure)) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// left tells what of a capture was left out.
func (in *replayInput) left() recording.Left {
	if p, ok := in.reader.(*recording.Packets); ok {
		return p.Left()
	}
	return recording.Left{}
}
