//! Sizes and limits of the NPUs of this family: the RK3588's values, of which those of a related chip
//! differ in some.

use crate::facts::parameters;

parameters! {
    /// Sizes and limits of an NPU of this family.
    Parameters;
    /// The RK3588.
    RK3588, RK3588_FACTS;

    cores: usize = 3, "cores", Silicon,
        "Cores, each with a program counter of its own", "device trees; published runs on 1, 2 and 3 cores";
    cbuf_banks: usize = 12, "banks", Silicon,
        "Banks of a core's convolution buffer (CBUF)", "data and weight banks add up to 12 in every vendor stream";
    cbuf_bank_bytes: usize = 32 * 1024, "bytes", Silicon,
        "Size of a bank of the CBUF", "vendor captures; failing heights 189 to 193 and 216 to 221 of another stack";
    cbuf_entry_bytes: usize = 64, "bytes", Silicon,
        "Size of an entry of the CBUF, in which rows are counted", "542 vendor tasks and the same failing heights";
    atom_bytes: usize = 16, "bytes", Silicon,
        "Size of an atom: one pixel of one group of channels", "layout of feature maps in vendor captures";
    mac_lanes: usize = 32, "channels", Inferred,
        "Input channels that the MAC array multiplies in a step", "1024 MACs a cycle, and the order of weights";
    kernel_group: usize = 32, "kernels", Silicon,
        "Kernels of a direct 8-bit convolution that are worked on together", "order of weights in captured jobs; Mesa pads output channels to it";
    depthwise_group: usize = 64, "channels", Silicon,
        "Channels of a depthwise 8-bit convolution that are worked on together", "order of weights in captured jobs; Mesa pads channels to it";
    group_surfaces: usize = 8, "surfaces", Inferred,
        "Most surfaces that the channels of a group fill", "3 bits of SIZE_E, less one; 8 have run";
    max_kernel: usize = 31, "taps", Inferred,
        "Largest kernel along an axis", "5 bits of WEIGHT_SIZE2; 17 x 1 and similar have run";
    max_stride: usize = 7, "pixels", Silicon,
        "Largest stride along an axis", "3 bits of CONV_CON3; 7 has run";
    max_dilation: usize = 32, "pixels", Inferred,
        "Largest distance of neighbouring taps", "5 bits of CONV_CON3, less one; 2 has run";
    max_pad: usize = 15, "pixels", Inferred,
        "Deepest padding before the first row or column", "4 bits of PAD_CON0";
    max_input: usize = 2047, "pixels", Inferred,
        "Largest width and height of a task's input", "11 bits of DATA_SIZE0";
    max_output: usize = 8191, "pixels", Silicon,
        "Largest width, height and number of channels that the DPU writes", "13 bits, less one; 8192 gives wrong tail elements";
    max_channels: usize = 16384, "channels", Inferred,
        "Most input channels of a task", "14 bits of DATA_SIZE1, less one";
    max_kernels: usize = 16383, "kernels", Inferred,
        "Most kernels of a task", "14 bits of WEIGHT_SIZE2";
    max_pool_window: usize = 16, "pixels", Inferred,
        "Largest window and stride of the PPU along an axis", "4 bits, less one";
    max_pool_pad: usize = 7, "pixels", Inferred,
        "Deepest padding of the PPU", "3 bits";
    max_flying: usize = 4096, "pixels", Silicon,
        "Largest width and height of a task without convolution", "4096 columns are whole on a board, at the field's end of 8191 the last ones are not";
    multiplicand_bits: u32 = 16, "bits", Silicon,
        "Bits of the second operand of an element-wise product, sign included", "4096 products of 32-bit cubes on two drivers, all as if the operand had 16 bits; those of 8 and 16 bits are exact";
    lut_entries: usize = 513, "entries", Silicon,
        "Entries of each of the two tables of the DPU", "captured jobs with tables";
    segment_align: usize = 64, "bytes", Silicon,
        "Alignment of command lists", "custom of Mesa and the vendor; 16 is what the fetch asks for";
}

impl Parameters {
    /// Entries in a bank of the CBUF.
    pub const fn cbuf_bank_entries(&self) -> usize {
        self.cbuf_bank_bytes / self.cbuf_entry_bytes
    }

    /// Atoms that share an entry of the CBUF.
    pub const fn entry_atoms(&self) -> usize {
        self.cbuf_entry_bytes / self.atom_bytes
    }

    /// Channels of elements of `bytes` bytes in an atom.
    pub const fn atom_channels(&self, bytes: usize) -> usize {
        self.atom_bytes / bytes
    }
}
