# The smallest honest ELF program: writes one line and exits 0. No C library, no sections, 64-bit x86.
# The headers are written out by hand (System V gABI, chapter 4), so the linker only places bytes:
#
#   as -o hello.o hello.S && ld -Ttext=0x400000 --oformat binary -o hello hello.o && chmod 755 hello

        .set    base, 0x400000
        .globl  _start
        .text
header:
        .byte   0x7f, 'E', 'L', 'F', 2, 1, 1, 0         # 64 bit, little endian, System V
        .quad   0
        .short  2, 62                                   # ET_EXEC, EM_X86_64
        .long   1
        .quad   _start
        .quad   segments - header
        .quad   0                                       # no sections
        .long   0
        .short  64, 56, 2, 64, 0, 0
segments:
        .long   1, 5                                    # PT_LOAD, readable and executable
        .quad   0, base, base
        .quad   end - header, end - header
        .quad   0x1000
        .long   0x6474e551, 6                           # PT_GNU_STACK: the stack is not executable
        .quad   0, 0, 0, 0, 0, 16
_start:
        push    $1                                      # write(1, line, length)
        pop     %rax
        mov     %eax, %edi
        mov     $line, %esi
        push    $end - line
        pop     %rdx
        syscall
        push    $60                                     # exit(0)
        pop     %rax
        xor     %edi, %edi
        syscall
line:
        .ascii  "hello from tarsia\n"
end:
