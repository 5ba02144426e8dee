//! A Java program without a Java compiler: its class file, assembled here (The Java Virtual Machine Specification, 4).

/// Returns the class `Get`, which writes what it gets from the address in its first argument:
/// `System.out.writeBytes(new URL(arguments[0]).openStream().readAllBytes())`.
pub(crate) fn get() -> Vec<u8> {
    let mut pool = Pool { bytes: Vec::new(), next: 1 };
    let this = pool.class("Get");
    let object = pool.class("java/lang/Object");
    let out = pool.member(9, "java/lang/System", "out", "Ljava/io/PrintStream;");
    let url = pool.class("java/net/URL");
    let new_url = pool.member(10, "java/net/URL", "<init>", "(Ljava/lang/String;)V");
    let open = pool.member(10, "java/net/URL", "openStream", "()Ljava/io/InputStream;");
    let read = pool.member(10, "java/io/InputStream", "readAllBytes", "()[B");
    let write = pool.member(10, "java/io/PrintStream", "writeBytes", "([B)V");
    let flush = pool.member(10, "java/io/PrintStream", "flush", "()V");
    let (main, descriptor, code) = (pool.utf8("main"), pool.utf8("([Ljava/lang/String;)V"), pool.utf8("Code"));

    let mut body = Vec::new();
    body.extend(with(0xb2, out)); // getstatic
    body.extend(with(0xbb, url)); // new
    body.extend([0x59, 0x2a, 0x03, 0x32]); // dup, aload_0, iconst_0, aaload
    body.extend(with(0xb7, new_url)); // invokespecial
    body.extend(with(0xb6, open)); // invokevirtual
    body.extend(with(0xb6, read));
    body.extend(with(0xb6, write));
    body.extend(with(0xb2, out));
    body.extend(with(0xb6, flush));
    body.push(0xb1); // return

    let short = |number: usize| u16::try_from(number).unwrap().to_be_bytes();
    let long = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let mut class = Vec::new();
    class.extend(0xcafe_babe_u32.to_be_bytes());
    class.extend([0, 0, 0, 52]); // minor, major: Java 8
    class.extend(pool.next.to_be_bytes());
    class.extend(&pool.bytes);
    class.extend(0x21_u16.to_be_bytes()); // public super
    class.extend(this.to_be_bytes());
    class.extend(object.to_be_bytes());
    class.extend([0, 0, 0, 0, 0, 1]); // no interfaces, no fields, one method
    class.extend(0x09_u16.to_be_bytes()); // public static
    class.extend(main.to_be_bytes());
    class.extend(descriptor.to_be_bytes());
    class.extend(short(1));
    class.extend(code.to_be_bytes());
    class.extend(long(12 + body.len()));
    class.extend([0, 5, 0, 1]); // stack, locals
    class.extend(long(body.len()));
    class.extend(&body);
    class.extend([0, 0, 0, 0, 0, 0]); // no handlers, no attributes; no attributes of the class
    class
}

/// Returns an instruction on a constant.
fn with(instruction: u8, constant: u16) -> [u8; 3] {
    let [high, low] = constant.to_be_bytes();
    [instruction, high, low]
}

/// A constant pool.
struct Pool {
    bytes: Vec<u8>,
    next: u16,
}

impl Pool {
    fn add(&mut self, tag: u8, body: &[u8]) -> u16 {
        self.bytes.push(tag);
        self.bytes.extend(body);
        self.next += 1;
        self.next - 1
    }

    fn pair(&mut self, tag: u8, first: u16, second: u16) -> u16 {
        self.add(tag, &[first.to_be_bytes(), second.to_be_bytes()].concat())
    }

    fn utf8(&mut self, text: &str) -> u16 {
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        self.add(1, &[&length, text.as_bytes()].concat())
    }

    fn class(&mut self, name: &str) -> u16 {
        let name = self.utf8(name);
        self.add(7, &name.to_be_bytes())
    }

    /// A field (tag 9) or a method (tag 10).
    fn member(&mut self, tag: u8, class: &str, name: &str, descriptor: &str) -> u16 {
        let class = self.class(class);
        let (name, descriptor) = (self.utf8(name), self.utf8(descriptor));
        let name = self.pair(12, name, descriptor);
        self.pair(tag, class, name)
    }
}
