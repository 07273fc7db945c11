// Package jq runs expressions of the language jq on what messages say. It wraps
// gojq, which is all of the language in Go and ends with a context, and speaks in
// values of package payload.
//
// Integers keep every digit, as do numbers that an expression only passes on.
// Members of objects come out in the order of their names, but see RunText. Strings
// of bytes go in as base64, which is what they are in JSON.
//
// Expressions see neither the environment nor files nor further input. What one
// may do with one message is bounded by MaxTime and MaxOutputBytes. Input that is
// hostile meets the expression that the user wrote: one that makes as much as a
// number in it says is ended by MaxTime.
package jq

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/itchyny/gojq"
)

const (
	// MaxTime bounds one run, and by that its steps and what it keeps.
	MaxTime = time.Second
	// MaxOutputBytes bounds the results of one run together, as JSON.
	MaxOutputBytes = 16 << 20
	// maxSource bounds an expression.
	maxSource = 64 << 10
)

// Errors of Run beside those of the expression and the context.
var (
	ErrTime   = fmt.Errorf("takes longer than %s", MaxTime)
	ErrOutput = fmt.Errorf("gives more than %d MiB", MaxOutputBytes>>20)
	ErrHalt   = errors.New("halt ends nothing here")
)

// Query is a compiled expression. Several goroutines may use it.
type Query struct {
	source  string
	code    *gojq.Code
	members []string
	assigns bool
}

// Compile reads an expression. The error is a *SyntaxError.
func Compile(src string) (*Query, error) {
	if len(src) > maxSource {
		return nil, &SyntaxError{Source: src[:0], Offset: -1, Reason: fmt.Sprintf("an expression has at most %d bytes", maxSource)}
	}
	parsed, err := gojq.Parse(src)
	if err != nil {
		return nil, syntaxError(src, err)
	}
	code, err := gojq.Compile(parsed)
	if err != nil {
		return nil, syntaxError(src, err)
	}
	return &Query{src, code, members(nil, parsed), parsed.Op == gojq.OpAssign}, nil
}

// String returns the expression as it was written.
func (q *Query) String() string { return q.source }

// Run applies the expression to v, a value of package payload or one that Parse
// has made, and gives each result to yield, as a value of package payload; what
// yield returns ends the run. Results before an error have been given. Errors: of
// ctx, of yield, ErrTime, ErrOutput, ErrHalt, and else what the expression says.
func (q *Query) Run(ctx context.Context, v any, yield func(any) error) error {
	return q.RunText(ctx, v, nil, yield)
}

// RunText is Run with the text of which Parse has made v. Objects that the
// expression passes on as they are keep the order of their members.
func (q *Query) RunText(ctx context.Context, v any, text []byte, yield func(any) error) error {
	out := outputs{orders: orders{text: text, root: v}}
	return q.each(ctx, v, func(result any) error {
		out, err := out.value(result)
		if err != nil {
			return err
		}
		return yield(out)
	})
}

// errTrue ends a run of Test.
var errTrue = errors.New("true")

// Test reports whether one of the results is neither false nor null. With an
// error, none before it was.
func (q *Query) Test(ctx context.Context, v any) (bool, error) {
	err := q.each(ctx, v, func(result any) error {
		if result != nil && result != false {
			return errTrue
		}
		return nil
	})
	if errors.Is(err, errTrue) {
		return true, nil
	}
	return false, err
}

func (q *Query) each(ctx context.Context, v any, yield func(any) error) error {
	work, cancel := context.WithTimeoutCause(ctx, MaxTime, ErrTime)
	defer cancel()
	results := q.code.RunWithContext(work, input(v))
	for {
		result, ok := results.Next()
		if !ok {
			return nil
		}
		if err, failed := result.(error); failed {
			return runError(work, err)
		}
		if err := yield(result); err != nil {
			return err
		}
	}
}

// runError puts an error of gojq into our words.
func runError(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, new(*gojq.HaltError)):
		return ErrHalt
	}
	return err
}
