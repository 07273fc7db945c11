package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// maxVariable bounds what a request may put into one variable of the environment:
// systems refuse longer ones.
const maxVariable = 120 << 10

// errTooMuch is the cause of a context that a command's output has ended.
var errTooMuch = errors.New("printed too much")

// runCommand runs the command of --command with input, and returns what it prints. It
// is killed with all it has started when ctx or its time ends, and what it leaves
// behind is killed when it ends.
func (s *settings) runCommand(ctx context.Context, stderr io.Writer, input []byte, env []string) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limited, stop := context.WithTimeout(ctx, s.call.timeLimit)
	defer stop()
	cmd := shell(limited, s.call.command)
	cmd.Env, cmd.Stdin, cmd.Stderr, cmd.WaitDelay = env, bytes.NewReader(input), stderr, time.Second
	// A pipe of our own: who waits for the command does not wait for what it
	// has left behind.
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer out.Close()
	cmd.Stdout = in
	if err := cmd.Start(); err != nil {
		_ = in.Close()
		return nil, fmt.Errorf("command: %w", err)
	}
	_ = in.Close()
	var printed []byte
	read := make(chan struct{})
	go func() {
		defer close(read)
		printed, _ = io.ReadAll(io.LimitReader(out, int64(s.call.maxOutput)+1))
		if len(printed) > s.call.maxOutput {
			cancel(errTooMuch)
		}
	}()
	err = cmd.Wait()
	killGroup(cmd)
	_ = out.SetReadDeadline(time.Now().Add(time.Second)) // somebody may have left the group
	<-read
	switch {
	case len(printed) > s.call.maxOutput:
		return nil, fmt.Errorf("the command prints more than %d bytes", s.call.maxOutput)
	case ctx.Err() != nil:
		return nil, errors.New("the command was ended, because we end")
	case limited.Err() != nil && err != nil:
		return nil, fmt.Errorf("the command takes longer than %s", s.call.timeLimit)
	case errors.Is(err, exec.ErrWaitDelay): // it did not read all of its input
		return printed, nil
	case err != nil:
		return nil, err
	}
	return printed, nil
}

// environmentOf is what a command finds: our environment without what may be
// secret, and the request.
func environmentOf(c *call) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "IOTCTL_") {
			env = append(env, v)
		}
	}
	m := &c.request
	retain := "0"
	if m.Retain {
		retain = "1"
	}
	correlation, _ := m.Properties.Bytes(mqtt.PropCorrelationData)
	content, _ := m.Properties.String(mqtt.PropContentType)
	for _, v := range []struct{ name, value string }{
		{"TOPIC", m.Topic},
		{"RESPONSE_TOPIC", c.to},
		{"CORRELATION", hex.EncodeToString(correlation)},
		{"QOS", strconv.Itoa(int(m.QoS))},
		{"RETAIN", retain},
		{"CONTENT_TYPE", content},
		{"USER_PROPERTIES", userProperties(m.Properties)},
	} {
		if len(v.value) > maxVariable || strings.IndexByte(v.value, 0) >= 0 {
			v.value = ""
		}
		env = append(env, "REQUEST_"+v.name+"="+v.value)
	}
	return env
}

// userProperties are a JSON array; of too many none, so that what there is is whole.
func userProperties(p mqtt.Properties) string {
	type pair struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	all, size := []pair{}, 0
	for q := range p.All() {
		if q.ID == mqtt.PropUserProperty {
			all = append(all, pair{string(q.Bytes), string(q.Value)})
			size += len(q.Bytes) + len(q.Value)
		}
		if size > maxVariable {
			return ""
		}
	}
	b, err := json.Marshal(all)
	if err != nil || len(b) > maxVariable {
		return ""
	}
	return string(b)
}

// decoded is what a command reads of a request: its payload, or by a rule of
// --payload what that stands for.
func (r *responder) decoded(m *client.Message) ([]byte, error) {
	r.rules.Lock()
	defer r.rules.Unlock()
	content, _ := m.Properties.String(mqtt.PropContentType)
	c, ok, err := r.s.payloads.Decode(m.Topic, content, m.Payload)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return m.Payload, nil
	}
	return c.AppendText(nil), nil
}

// errorPayload is the reply to a request that could not be answered.
func errorPayload(err error) []byte {
	b, _ := json.Marshal(struct {
		Error string `json:"error"`
	}{err.Error()})
	return b
}
