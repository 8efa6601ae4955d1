// A panic in a goroutine ends the program, unless that goroutine recovers.
package main

import "fmt"

func load(page int) (text string, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	if page >= 10 {
		panic("no such page")
	}
	return fmt.Sprintf("page %d", page), nil
}

func main() {
	done := make(chan error)
	go func() {
		_, err := load(10)
		done <- err
	}()
	if err := <-done; err != nil {
		fmt.Println("it failed:", err)
	}
	fmt.Println("the program goes on")
}
